"""The people of the demo: the shop with its managers, and the customers that its CRM knows."""

from __future__ import annotations

from ari_app.demo.crm.simulator import Customer, Manager

SHOP = "+74951204560"
OLGA, BORIS, VERA = "101", "102", "103"
MANAGERS = (
    Manager(id=1, first_name="Ольга", last_name="Смирнова", code=OLGA),
    Manager(id=2, first_name="Борис", last_name="Кузнецов", code=BORIS),
    Manager(id=3, first_name="Вера", last_name="Соколова", code=VERA),
)
USER_IDS = {manager.code: manager.id for manager in MANAGERS}
QUEUE = "sales"
QUEUE_MEMBERS = (BORIS, VERA)

ANNA, PYOTR = "+79161234567", "+79265550134"
STRANGER, WITHHELD = "+79037654321", "anonymous"
CUSTOMERS = (
    Customer(id=1, first_name="Анна", last_name="Иванова", phones=(ANNA,), manager_id=1),
    Customer(id=2, first_name="Пётр", last_name="Волков", phones=(PYOTR,)),
)
ANNA_SHOWN, PYOTR_SHOWN = "Иванова Анна", "Волков Пётр"
